from django.urls import path

from signals.views import indicators, notifications, signals

urlpatterns = [
    path("indicators/", indicators.Indicators.as_view()),
    path("market/<str:symbol>/indicators/", indicators.Readings.as_view()),
    path("signals/", signals.Signals.as_view()),
    path("notifications/", notifications.Notifications.as_view()),
    path("notifications/<str:notification_id>/", notifications.OneNotification.as_view()),
]
