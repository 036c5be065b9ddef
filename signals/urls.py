from django.urls import path

from signals.views import alerts, deliveries, findings, indicators, news, notifications, outcomes, preferences, signals

urlpatterns = [
    path("alerts/", alerts.Alerts.as_view()),
    path("alerts/<int:alert_id>/", alerts.OneAlert.as_view()),
    path("alerts/<int:alert_id>/snooze/", alerts.Snooze.as_view()),
    path("alerts/<int:alert_id>/rearm/", alerts.Rearm.as_view()),
    path("alerts/<int:alert_id>/firings/", alerts.Firings.as_view()),
    path("indicators/", indicators.Indicators.as_view()),
    path("market/<str:symbol>/indicators/", indicators.Readings.as_view()),
    path("market/<str:symbol>/sentiment/", news.InstrumentSentiment.as_view()),
    path("news/", news.News.as_view()),
    path("findings/", findings.Findings.as_view()),
    path("market/<str:symbol>/patterns/", findings.Patterns.as_view()),
    path("strategies/scorecards/", outcomes.Scorecards.as_view()),
    path("signals/<int:signal_id>/outcome/", outcomes.Outcome.as_view()),
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
