from django.urls import path

from portfolio import views

urlpatterns = [
    path("portfolios/", views.Portfolios.as_view()),
    path("portfolios/<int:portfolio_id>/", views.OnePortfolio.as_view()),
    path("portfolios/<int:portfolio_id>/transactions/", views.Transactions.as_view()),
    path("portfolios/<int:portfolio_id>/transactions/<int:transaction_id>/reverse/", views.Reversal.as_view()),
    path("portfolios/<int:portfolio_id>/positions/", views.Positions.as_view()),
]
