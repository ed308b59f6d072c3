# The training image: all that trainer.sh does, in a container. scripts/docker.sh builds and runs it; by hand:
#   DOCKER_BUILDKIT=1 docker build --target cpu -t ss-poc-trainer:cpu .
#   DOCKER_BUILDKIT=1 docker build --target gpu -t ss-poc-trainer:gpu .      (runs where the NVIDIA container toolkit is)
# BASE_IMAGE may be any image with Python 3.10 to 3.13 and its venv module. WHEELS=local takes packages from ./wheelhouse.
ARG BASE_IMAGE=python:3.11.14-slim-bookworm
ARG WHEELS=none

FROM ${BASE_IMAGE} AS wheels-none
RUN mkdir /wheelhouse

FROM ${BASE_IMAGE} AS wheels-local
COPY wheelhouse /wheelhouse

FROM wheels-${WHEELS} AS wheels

# Whatever the umask they were checked out with: everybody may read them.
FROM scratch AS code
COPY --chmod=755 trainer.sh pyproject.toml LICENSE requirements-serve.lock /app/
COPY --chmod=755 scripts /app/scripts
COPY --chmod=755 src /app/src

FROM ${BASE_IMAGE} AS base
LABEL org.opencontainers.image.title="SS-PoC trainer" org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.description="Trains a segmentation model on labelled photographs and packages it"
# MODE: trainer.sh finds everything in place. HOME: whoever runs this has no home in here.
ENV MODE=image HOME=/tmp PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=2
WORKDIR /app
# A job that ends has an exit status; a health check would only take its cores.
HEALTHCHECK NONE
ENTRYPOINT ["sh", "/app/trainer.sh"]

# Packages have a layer of their own: they are nearly all of the image, and change less often than our code.
FROM base AS packages-cpu
COPY requirements.lock scripts/python.sh scripts/image_packages.sh ./
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip_conf --mount=from=wheels,source=/wheelhouse,target=/wheelhouse \
    sh image_packages.sh requirements.lock

FROM base AS packages-gpu
COPY requirements.lock requirements-gpu.txt scripts/python.sh scripts/image_packages.sh ./
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip_conf --mount=from=wheels,source=/wheelhouse,target=/wheelhouse \
    sed '/^tensorflow-cpu==/d' requirements.lock | cat - requirements-gpu.txt >requirements-both.txt && \
    sh image_packages.sh requirements-both.txt
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM packages-cpu AS cpu
COPY --from=code /app /app
USER 1000:1000

FROM packages-gpu AS gpu
COPY --from=code /app /app
USER 1000:1000
