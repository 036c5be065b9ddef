# The page, built by node; nothing of node goes on.
FROM node:24-bookworm-slim AS frontend
WORKDIR /build
COPY frontend/package.json frontend/package-lock.json frontend/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY frontend/ ./
RUN npm run build

# The Python packages, each file checked against its hash. The stores are other containers: no embedded ones.
FROM python:3.13-slim-bookworm AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/image.lock /build/
RUN python -m venv /venv && /venv/bin/pip install --require-hashes -r /build/image.lock

FROM python:3.13-slim-bookworm
RUN useradd --system --create-home --home-dir /var/lib/tapehouse --uid 10001 tapehouse
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/var/lib/tapehouse STATIC_ROOT=/srv/static HOST=0.0.0.0 FLOWER_HOST=0.0.0.0
WORKDIR /srv/tapehouse
COPY --from=packages /venv /venv
COPY manage.py pyproject.toml ./
COPY worker/ worker/
COPY streaming/ streaming/
COPY ingestion/ ingestion/
COPY portfolio/ portfolio/
COPY signals/ signals/
COPY beat/ beat/
COPY project/ project/
COPY --from=frontend /build/dist frontend/dist
RUN SECRET_KEY=only-for-this-step python manage.py collectstatic --noinput
USER tapehouse
EXPOSE 8000 5555
CMD ["python", "-m", "project.service", "web"]
