FROM mcr.example.com/playwright:v1.44.1-jammy
WORKDIR /e2e
COPY package.json package-lock.json playwright.config.ts ./
RUN npm ci
COPY tests tests/
ENV CI=1 BASE_URL=http://web:3000
USER pwuser
ENTRYPOINT ["npx", "playwright", "test"]
CMD ["--reporter=list,junit", "--grep-invert", "@slow|@flaky"]
