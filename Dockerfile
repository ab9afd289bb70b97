# The services' image: `docker build -t longshore .` or docker-compose.yml. Without the embedded Kafka and Redis and
# without development tools; every package is what requirements-runtime.lock names, by its hash.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/longshore
WORKDIR /build
COPY requirements-runtime.lock ./
RUN /opt/longshore/bin/pip install --require-hashes --only-binary :all: -r requirements-runtime.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY src src
COPY producers producers
COPY scorer scorer
COPY monitor monitor
COPY trainer trainer
RUN /opt/longshore/bin/pip install --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin longshore \
    && install -d -o longshore -g longshore /var/lib/longshore
COPY --from=build /opt/longshore /opt/longshore
ENV PATH=/opt/longshore/bin:$PATH PYTHONUNBUFFERED=1 LONGSHORE_HOME=/var/lib/longshore
USER longshore
WORKDIR /home/longshore
VOLUME /var/lib/longshore
ENTRYPOINT ["longshore"]
CMD ["--help"]
