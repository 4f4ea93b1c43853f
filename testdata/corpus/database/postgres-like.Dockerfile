# A relational database server: packages from a vendor's archive, data below one volume.
FROM debian:bookworm-slim

ARG SERVER_MAJOR=16
ARG SERVER_RELEASE=16.3-2
ENV SERVER_MAJOR $SERVER_MAJOR
ENV LANG en_US.UTF-8
ENV PATH /usr/lib/postgresql/$SERVER_MAJOR/bin:$PATH

# The account exists before its package does, so that its number never changes.
RUN set -eux; \
	groupadd --gid 5432 --system postgres; \
	useradd --uid 5432 --gid 5432 --system \
# the shell is for "docker exec -u postgres"
		--shell /bin/bash \
		--home-dir /srv/postgres \
		--create-home postgres

RUN set -eux; \
	apt-get update; \
	apt-get install --yes --no-install-recommends \
		ca-certificates \
		curl \
		gnupg \
		locales \
# used by health checks of orchestrators
		netcat-openbsd \
	; \
	sed -i "s/^# *\($LANG UTF-8\)$/\1/" /etc/locale.gen; \
	locale-gen; \
	\
	keyring=/usr/share/keyrings/database.gpg; \
	curl --fail --silent --show-error https://apt.example.org/database.asc | gpg --dearmor --output "$keyring"; \
	. /etc/os-release; \
	machine="$(dpkg --print-architecture)"; \
	case "$machine" in \
		amd64 | arm64) \
			echo "deb [arch=$machine signed-by=$keyring] https://apt.example.org/debian $VERSION_CODENAME main" ;; \
		*) \
# nothing is prebuilt here: the distribution's own version must do
			echo "# no vendor packages for $machine" ;; \
	esac > /etc/apt/sources.list.d/database.list; \
	apt-get update; \
	mkdir -p /etc/postgresql-common; \
	echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf; \
	apt-get install --yes --no-install-recommends "postgresql-$SERVER_MAJOR=$SERVER_RELEASE"; \
	apt-get purge --yes --auto-remove curl gnupg; \
	rm -rf /var/lib/apt/lists/*; \
	postgres --version | grep -F "$SERVER_MAJOR."

# Listen everywhere, log to stderr; the sample is what initdb starts from.
RUN set -eux; \
	sample="/usr/share/postgresql/$SERVER_MAJOR/postgresql.conf.sample"; \
	sed -i -E \
		-e "s/^#?listen_addresses *=.*/listen_addresses = '*'/" \
		-e "s/^#?logging_collector *=.*/logging_collector = off/" \
		"$sample"; \
	grep -c "= '\*'" "$sample"; \
	install -d -o postgres -g postgres -m 02775 /run/postgresql /initdb.d

ENV PGDATA /srv/postgres/data
RUN install -d -o postgres -g postgres -m 0700 "$PGDATA"
VOLUME /srv/postgres/data

COPY --chmod=0755 start-postgres wait-for-postgres /usr/local/bin/
ENTRYPOINT ["start-postgres"]
# finish what runs, refuse what comes
STOPSIGNAL SIGINT
EXPOSE 5432
HEALTHCHECK --interval=15s --timeout=3s --start-period=1m CMD pg_isready --quiet --username "${POSTGRES_USER:-postgres}"
CMD ["postgres", "-c", "shared_buffers=256MB"]
