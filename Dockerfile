# A node of Kuayu:  docker build -t kuayu .  &&  docker run kuayu node 430100
FROM python:3.11-slim AS build
RUN python -m venv /opt/kuayu
COPY requirements-node.lock /src/
RUN /opt/kuayu/bin/pip install --no-cache-dir --no-deps --require-hashes -r /src/requirements-node.lock
COPY . /src/
RUN /opt/kuayu/bin/pip install --no-cache-dir --no-deps --no-build-isolation /src /src/producers/sdk \
 && /opt/kuayu/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home --home-dir /var/lib/kuayu kuayu \
 && install --directory --owner kuayu /etc/kuayu
COPY --from=build /opt/kuayu /opt/kuayu
ENV PATH=/opt/kuayu/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    KUAYU_DATA=/var/lib/kuayu \
    KUAYU_HTTP=0.0.0.0:8080
USER kuayu
WORKDIR /var/lib/kuayu
VOLUME /var/lib/kuayu
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/livez', timeout=4)"]
ENTRYPOINT ["kuayu"]
CMD ["--help"]
