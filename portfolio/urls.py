from django.urls import path

from portfolio.views import portfolios

urlpatterns = [
    path("portfolios/", portfolios.Portfolios.as_view()),
    path("portfolios/<int:portfolio_id>/", portfolios.OnePortfolio.as_view()),
    path("portfolios/<int:portfolio_id>/transactions/", portfolios.Transactions.as_view()),
    path("portfolios/<int:portfolio_id>/transactions/<int:transaction_id>/reverse/", portfolios.Reversal.as_view()),
    path("portfolios/<int:portfolio_id>/positions/", portfolios.Positions.as_view()),
]
