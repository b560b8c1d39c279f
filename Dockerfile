# One image for every service of the lab; docker-compose.yml says which one runs.
FROM python:3.12-slim

RUN useradd --create-home --uid 10001 reclab && install -d -o reclab -m 0700 /lab
WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY recording_format recording_format
COPY service_shell service_shell
COPY mcp_sim mcp_sim
COPY webdav_store webdav_store
COPY recording_processor recording_processor
COPY crypto_server crypto_server
COPY reclab reclab
COPY faults faults
RUN pip install --no-cache-dir --constraint constraints.txt .

USER reclab
VOLUME /lab
ENTRYPOINT []
CMD ["reclab", "--help"]
