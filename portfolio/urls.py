from django.urls import path

from portfolio.views import explain, history, lots, performance, portfolios, transactions

urlpatterns = [
    path("portfolios/", portfolios.Portfolios.as_view()),
    path("portfolios/<int:portfolio_id>/", portfolios.OnePortfolio.as_view()),
    path("portfolios/<int:portfolio_id>/transactions/", transactions.Transactions.as_view()),
    path("portfolios/<int:portfolio_id>/transactions/<int:transaction_id>/", transactions.OneTransaction.as_view()),
    path("portfolios/<int:portfolio_id>/transactions/<int:transaction_id>/reverse/", transactions.Reversal.as_view()),
    path("portfolios/<int:portfolio_id>/history/", history.History.as_view()),
    path("portfolios/<int:portfolio_id>/performance/", performance.PerformanceView.as_view()),
    path("portfolios/<int:portfolio_id>/explain/", explain.Explain.as_view()),
    path("portfolios/<int:portfolio_id>/positions/", portfolios.Positions.as_view()),
    path("portfolios/<int:portfolio_id>/lots/", lots.Lots.as_view()),
]
