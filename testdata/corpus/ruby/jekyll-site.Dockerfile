FROM ruby:3.3-bookworm AS site
WORKDIR /srv/jekyll
COPY Gemfile Gemfile.lock ./
RUN bundle install
COPY . .
ARG JEKYLL_ENV=production
ARG BASEURL
ENV LC_ALL C.UTF-8
RUN bundle exec jekyll build --strict_front_matter ${BASEURL:+--baseurl "$BASEURL"} -d /site
RUN find /site -type f \( -name '*.html' -o -name '*.css' -o -name '*.js' \) -exec gzip -9 -k {} \;

FROM nginx:stable-alpine
COPY --from=site /site /usr/share/nginx/html
