FROM ruby:3.2-alpine AS gems
RUN apk add --update --no-cache build-base postgresql-dev tzdata
WORKDIR /app
COPY Gemfile* ./
RUN bundle config set --local without 'development test' \
 && bundle install --jobs "$(nproc)" --retry 3 \
 && find /usr/local/bundle -name '*.o' -delete -o -name '*.c' -delete
FROM ruby:3.2-alpine
RUN apk add --no-cache libpq tzdata tini
COPY --from=gems /usr/local/bundle/ /usr/local/bundle/
WORKDIR /app
COPY . .
ENV RUBY_YJIT_ENABLE=1 MALLOC_ARENA_MAX=2
HEALTHCHECK --interval=10s --retries=6 CMD [ "ruby", "-rsidekiq/api", "-e", "exit Sidekiq::ProcessSet.new.size > 0" ]
ENTRYPOINT ["/sbin/tini", "--"]
CMD ["bundle", "exec", "sidekiq", "-C", "config/sidekiq.yml"]
