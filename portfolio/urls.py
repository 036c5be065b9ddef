from django.urls import path

from portfolio.views import explain, fx, history, imports, lots, orders, performance, portfolios, transactions

urlpatterns = [
    path("fx/", fx.Rates.as_view()),
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
    path("portfolios/<int:portfolio_id>/account/", orders.Account.as_view()),
    path("portfolios/<int:portfolio_id>/epochs/", orders.Epochs.as_view()),
    path("portfolios/<int:portfolio_id>/reset/", orders.Reset.as_view()),
    path("orders/", orders.Orders.as_view()),
    path("orders/<int:order_id>/", orders.OneOrder.as_view()),
    path("portfolios/<int:portfolio_id>/imports/", imports.Imports.as_view()),
    path("portfolios/<int:portfolio_id>/imports/<int:batch_id>/", imports.OneImport.as_view()),
    path("portfolios/<int:portfolio_id>/imports/<int:batch_id>/undo/", imports.UndoImport.as_view()),
    path("portfolios/<int:portfolio_id>/reconcile/", imports.Reconcile.as_view()),
    path("portfolios/<int:portfolio_id>/export/", imports.Export.as_view()),
]
