from django.urls import path

from signals import views

urlpatterns = [
    path("signals/", views.Signals.as_view()),
    path("notifications/", views.Notifications.as_view()),
    path("notifications/<str:notification_id>/", views.OneNotification.as_view()),
]
