"""The URL of the measurement view.

A project has it by ``path("", include("autoscalebot.urls", namespace="autoscalebot"))``, at the place where the engine
looks for it unless settings say otherwise.
"""

from __future__ import annotations

from django.urls import path

from autoscalebot import views

app_name = "autoscalebot"

urlpatterns = [path("autoscalebot/measurement/", views.measurement, name="measurement")]
