# NVIDIA GPUs, on the TensorFlow, Horovod and NCCL of NVIDIA's image:
#   docker build -t unet .
# Processors; where the base image has no TensorFlow, it is installed:
#   docker build -t unet:cpu --build-arg FROM_IMAGE_NAME=python:3.11-slim .
# README.md says how to run it; `bash test/try_dockerfile.sh` executes these steps without Docker.
ARG FROM_IMAGE_NAME=nvcr.io/nvidia/tensorflow:24.03-tf2-py3
FROM ${FROM_IMAGE_NAME}

LABEL org.opencontainers.image.title="unet-estimator" \
      org.opencontainers.image.description="U-Nets for image segmentation on TensorFlow Estimator" \
      org.opencontainers.image.licenses="Apache-2.0"

WORKDIR /workspace/unet

# Before the source, so that a change of the source installs nothing again. The image's own list of constraints is
# left aside: everything it installed stays, and what it lacks is pinned by ours.
COPY requirements/ requirements/
RUN python requirements/keep_installed.py requirements/constraints.txt \
 && if python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("tensorflow") is None)'; \
    then needed=base; else needed=cpu; fi \
 && PIP_CONSTRAINT='' python -m pip install --no-cache-dir --disable-pip-version-check -r "requirements/$needed.txt"

# Some images have a user of this number already; then both names mean it. Both directories can be written by whoever
# `docker run --user` says.
ARG USER_ID=1000
RUN useradd --create-home --no-log-init --non-unique --uid "$USER_ID" --shell /bin/bash unet \
 && mkdir -p /data /results \
 && chmod 1777 /data /results

# The source stays root's, readable whatever the umask of the checkout was.
COPY . .
RUN chmod -R a+rX .

# A user without a home, as `--user` may name, has no other place for it.
ENV MPLCONFIGDIR=/tmp/matplotlib
# loop.sh and the training scripts take what is installed, and write where they may.
ENV VENV=none RESULTS=/results OUTPUT=/results/output
USER ${USER_ID}
CMD ["bash"]
