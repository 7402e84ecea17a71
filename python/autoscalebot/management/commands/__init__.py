"""``manage.py autoscalebot``, also under the name that says what it does, ``run_autoscalebot``."""
