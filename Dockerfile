# streamlearn as an image: `docker build -t streamlearn .`; deploy/README.md says how to run it.
#
# --build-arg TORCH=1        networks too. TORCH_INDEX=URL: the index of CPU wheels that PyTorch names for pip; without it
#                            PyPI's wheel, which on x86-64 brings some 3 GB of CUDA
# --build-arg CONFLUENT=1    kafka.client = "confluent"
# --build-arg PYTHON=3.12    another Python
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
ARG TORCH=0
ARG TORCH_INDEX=""
ARG CONFLUENT=0
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY streamlearn streamlearn
# Into an environment without pip, from wheels alone: what builds and installs stays behind in this stage.
RUN python3 -m pip wheel --quiet --no-deps --wheel-dir /wheels . \
 && python3 -m venv --without-pip /opt/streamlearn \
 && extras="$( [ "${TORCH}" = 0 ] || printf 'torch,'; [ "${CONFLUENT}" = 0 ] || printf 'confluent,' )" \
 && PIP_EXTRA_INDEX_URL="${TORCH_INDEX}" python3 -m pip --python /opt/streamlearn/bin/python install --quiet \
      --only-binary :all: -c constraints.txt "streamlearn[${extras%,}] @ file://$(echo /wheels/*.whl)"

FROM python:${PYTHON}-slim-bookworm
LABEL org.opencontainers.image.title="streamlearn" \
      org.opencontainers.image.description="Learns from a stream and asks for the labels that would teach it most." \
      org.opencontainers.image.licenses="MIT"
# The state's folder belongs to the user; a volume that is mounted there has to as well (in Kubernetes: fsGroup).
RUN install -d -o 10001 -g 10001 /var/lib/streamlearn
COPY --from=build /opt/streamlearn /opt/streamlearn
# Inside a container 127.0.0.1 is nobody's address but its own. One thread of BLAS: a fit is small, and replays the same.
ENV PATH=/opt/streamlearn/bin:$PATH \
    STREAMLEARN__HTTP__HOST=0.0.0.0 \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp MPLCONFIGDIR=/tmp
USER 10001:10001
WORKDIR /var/lib/streamlearn
VOLUME /var/lib/streamlearn
EXPOSE 9464
# The first SIGTERM drains and commits.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/healthz', timeout=4)"]
ENTRYPOINT ["streamlearn"]
CMD ["run"]
