# ner-elmo behind HTTP, on CPUs:
#
#     docker build -t ner-elmo .        # --build-arg TORCH_INDEX=URL: PyTorch's index of builds for CPUs
#     docker run --rm --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 ner-elmo
#     docker run --rm --read-only --tmpfs /tmp -v "$PWD/runs/mine:/model:ro" -p 127.0.0.1:8000:8000 ner-elmo serve --host 0.0.0.0 -m /model
#     docker run --rm -i --read-only --tmpfs /tmp ner-elmo tag - < input.txt
#
# The process is not root, and writes nothing outside of /tmp.

FROM python:3.12-slim AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/ner-elmo
# PyTorch's build for CPUs, if its index is named: the usual one brings gigabytes of libraries for graphics cards.
ARG TORCH_INDEX=
RUN /opt/ner-elmo/bin/pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch>=2.6,<2.14"
COPY pyproject.toml README.md LICENSE ./
COPY ner_elmo ner_elmo
RUN /opt/ner-elmo/bin/pip install ".[serve,zstd,zh-words]"
COPY packaging packaging
COPY models models
RUN /opt/ner-elmo/bin/pip install ./packaging/ner-elmo-model-en ./packaging/ner-elmo-model-zh

FROM python:3.12-slim
LABEL org.opencontainers.image.title="ner-elmo" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="Named-entity tagging on deep contextual word vectors, over HTTP."
COPY --from=build /opt/ner-elmo /opt/ner-elmo
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin ner-elmo
USER 10001
WORKDIR /tmp
ENV PATH=/opt/ner-elmo/bin:$PATH \
    HOME=/tmp \
    NER_ELMO_CACHE=/tmp/ner-elmo \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["ner-elmo"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
