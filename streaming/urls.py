from django.urls import path
from rest_framework_simplejwt.views import TokenObtainPairView

from streaming import views

urlpatterns = [
    path("auth/token/", TokenObtainPairView.as_view()),
    path("auth/token/refresh/", views.RefreshView.as_view()),
    path("realtime/ticket/", views.TicketView.as_view()),
]
