# syntax=docker/dockerfile:1
# A Sluice server.
#   docker build -t sluice .
#   docker run -d --name sluice -p 127.0.0.1:7420:7420 -v sluice-data:/data -v sluice-backups:/backups sluice
#   docker exec sluice sluice server backup /backups/$(date +%F)
# It asks for tokens; the first one, of its operator, is in /data/admin.token, and commands run inside of it use that.

FROM node:20-slim AS build
WORKDIR /app
COPY package.json package-lock.json tsconfig.json tsconfig.base.json ./
COPY protocol protocol
COPY clients clients
COPY src src
# It builds, by the script prepare. Not `npm ci`: of some tools that only build, the lock file has the binaries of Linux on x64
# and ARM alone, which npm 11 takes for out of date (npm 10, of Node 20, does not). Then what only builds and tests goes; the packages of the workspace stay.
RUN npm install --no-audit --no-fund && npm prune --omit=dev --ignore-scripts

FROM node:20-slim
ENV NODE_ENV=production \
    SLUICE_DATA=/data \
    SLUICE_LISTEN=0.0.0.0:7420 \
    SLUICE_AUTH=tokens \
    SLUICE_TOKEN_FILE=/data/admin.token \
    HEALTH_URL=http://127.0.0.1:7420/livez
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/protocol protocol
COPY --from=build /app/clients clients
COPY --from=build /app/dist dist
# Of root and writable by nobody; the data are of the user node.
RUN ln -s /app/dist/main.js /usr/local/bin/sluice \
 && chmod 0755 /app/dist/main.js \
 && install -d -o node -g node -m 0700 /data /backups
USER node
VOLUME ["/data", "/backups"]
EXPOSE 7420
STOPSIGNAL SIGTERM
# Open to everybody, also where tokens are asked for. With TLS set HEALTH_URL to https and NODE_EXTRA_CA_CERTS to the CA.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(process.env.HEALTH_URL).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# In the form of a list: the process is the first, and gets the signals.
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve"]
