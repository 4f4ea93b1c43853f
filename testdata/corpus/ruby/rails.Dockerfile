# syntax=docker/dockerfile:1
ARG RUBY=3.3.3
FROM ruby:$RUBY-slim-bookworm AS ruby
ENV RAILS_ENV=production RACK_ENV=production BUNDLE_WITHOUT="development test" BUNDLE_FROZEN=1 GEM_HOME=/gems BUNDLE_PATH=/gems
WORKDIR /shop

FROM ruby AS gems
RUN apt-get update && apt-get install -y --no-install-recommends build-essential git libpq-dev libyaml-dev
COPY Gemfile Gemfile.lock .ruby-version ./
RUN --mount=type=secret,id=gem_key,env=BUNDLE_GEMS__EXAMPLE__COM \
    --mount=type=cache,target=/gems/ruby/3.3.0/cache \
    bundle install --jobs=4

FROM gems AS assets
COPY --from=node:20-slim /usr/local/bin/node /usr/local/bin/
COPY Rakefile ./
COPY config config
COPY app app
COPY lib lib
RUN SECRET_KEY_BASE=$(head -c 64 /dev/urandom | od -An -tx1 | tr -d ' \n') bundle exec rake assets:precompile

FROM ruby AS web
RUN apt-get update && apt-get install -y --no-install-recommends libpq5 libvips42 libjemalloc2 && rm -rf /var/lib/apt/lists/*
COPY --link --from=gems /gems /gems
COPY --exclude=spec --exclude=tmp . .
COPY --from=assets /shop/public/assets public/assets
RUN useradd --create-home shop && mkdir -p tmp log storage && chown -R shop tmp log storage
USER shop
VOLUME /shop/storage
EXPOSE 3000
ENTRYPOINT ["bundle", "exec"]
CMD ["puma", "-C", "config/puma.rb"]

FROM web AS jobs
CMD ["sidekiq", "-q", "default", "-q", "mail,2"]
