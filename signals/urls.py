from django.urls import path

from signals.views import deliveries, indicators, news, notifications, preferences, signals

urlpatterns = [
    path("indicators/", indicators.Indicators.as_view()),
    path("market/<str:symbol>/indicators/", indicators.Readings.as_view()),
    path("market/<str:symbol>/sentiment/", news.InstrumentSentiment.as_view()),
    path("news/", news.News.as_view()),
    path("signals/", signals.Signals.as_view()),
    path("notifications/", notifications.Notifications.as_view()),
    path("notifications/preferences/", preferences.Preferences.as_view()),
    path("notifications/read-all/", notifications.ReadEverything.as_view()),
    path("notifications/unread/", notifications.Unread.as_view()),
    path("destinations/", deliveries.Destinations.as_view()),
    path("destinations/webpush-key/", deliveries.WebpushKey.as_view()),
    path("destinations/<int:destination_id>/", deliveries.OneDestination.as_view()),
    path("destinations/<int:destination_id>/test/", deliveries.TestDestination.as_view()),
    path("deliveries/", deliveries.Deliveries.as_view()),
    path("deliveries/<int:delivery_id>/", deliveries.OneDelivery.as_view()),
    path("deliveries/<int:delivery_id>/retry/", deliveries.RetryDelivery.as_view()),
    path("notifications/<str:notification_id>/", notifications.OneNotification.as_view()),
]
