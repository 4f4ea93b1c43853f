FROM alpine:3.20
RUN set -eu; \
	log() { printf '\033[1m%s\033[0m\n' "$*" >&2; }; \
	retry() { \
		n=0; \
		until "$@"; do \
			n=$((n + 1)); \
			[ "$n" -ge 3 ] && { log "failed: $*"; return 1; }; \
			sleep "$n"; \
		done; \
	}; \
	log 'packages'; retry apk add --no-cache curl; \
	trap 'rm -f /tmp/lock' EXIT INT TERM; : > /tmp/lock; \
	IFS=:; for d in $PATH; do [ -d "$d" ] || mkdir -p "$d"; done; unset IFS; \
	while read -r name value; do \
		[ -n "${name%%\#*}" ] || continue; \
		log "$name -> ${value:-none}"; \
	done < /etc/profile; \
	case "$(uname -s)/$(uname -m)" in \
		(Linux/x86_64|Linux/aarch64) : ;; \
		(*) false ;; \
	esac
