# docker build -t lightning_mmdiff . && docker run --rm --gpus all -v "$PWD/runs:/work/runs" lightning_mmdiff run table1 --profile smoke
# PyTorch's CUDA libraries come with its Python package, so no CUDA base image is needed.
FROM python:3.12-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
COPY . /opt/lightning_mmdiff
RUN pip install --no-cache-dir /opt/lightning_mmdiff
ENV GOMP_SPINCOUNT=2000
WORKDIR /work
ENTRYPOINT ["mmdiff"]
CMD ["--help"]
