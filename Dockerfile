# The two commands of the README, with what Hopper's pictures and windows need: Mesa's software renderer and Xvfb.
#
#     docker build -t quantilizers .
#     docker run --rm -v "$PWD/results:/quantilizers/log/fig" quantilizers
#     docker run --rm quantilizers python quantilizer.py --env_name Hopper-v2 --seed_nb 1
FROM python:3.13-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends libegl1 libgl1-mesa-dri libosmesa6 xvfb xauth \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /quantilizers
# What changes seldom comes first, so that it is built once.
COPY requirements-lock.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements-lock.txt
COPY . .

# Windows open on a screen that is not there; nothing has to be installed any more when the container runs.
CMD ["xvfb-run", "-a", "python", "quantilizer.py", "--do", "train", "test", "optimize", "plot"]
