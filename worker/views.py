"""How far the long work is that one asked for."""

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView

from worker.models import Job


class JobSerializer(serializers.ModelSerializer):
    class Meta:
        model = Job
        fields = ["id", "kind", "status", "total", "done", "message", "created_at", "updated_at", "finished_at"]
        read_only_fields = fields


class JobList(ListAPIView):
    """The asker's own jobs, newest first."""

    serializer_class = JobSerializer

    def get_queryset(self) -> QuerySet[Job]:
        """Also for staff their own: everybody's are in the admin."""
        return Job.objects.of(self.request.user)


class JobDetail(RetrieveAPIView):
    """One job, for its owner and for staff; for others it does not exist."""

    serializer_class = JobSerializer

    def get_queryset(self) -> QuerySet[Job]:
        """Those that the asker may see."""
        return Job.objects.visible_to(self.request.user)
