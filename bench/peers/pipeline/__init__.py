"""A document pipeline of Celery, Redis and PostgreSQL: what is measured."""
