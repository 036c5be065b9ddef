from django.urls import path

from signals import indicator_views, views

urlpatterns = [
    path("indicators/", indicator_views.Indicators.as_view()),
    path("market/<str:symbol>/indicators/", indicator_views.Readings.as_view()),
    path("signals/", views.Signals.as_view()),
    path("notifications/", views.Notifications.as_view()),
    path("notifications/<str:notification_id>/", views.OneNotification.as_view()),
]
