from django.urls import path

from ingestion import views

urlpatterns = [
    path("instruments/", views.Instruments.as_view()),
    path("market/<str:symbol>/latest/", views.LatestPrice.as_view()),
    path("market/<str:symbol>/candles/", views.Candles.as_view()),
    path("market/<str:symbol>/trades/", views.Trades.as_view()),
    path("feeds/", views.Feeds.as_view()),
]
