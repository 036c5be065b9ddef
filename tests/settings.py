"""The settings under test: the project's own, on servers that the run starts itself when none are given."""

from tests import services

services.provide()

from project.settings import *  # noqa: E402, F403 - they read the environment that `provide` has just made

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # argon2 is slow on purpose
LISTENER_HAND_OVER_S = 0.0  # whoever tests it says so: a listener without a successor would wait for one
