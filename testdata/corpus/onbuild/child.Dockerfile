# The triggers of the base image run before the first instruction here.
FROM registry.example.com/base/node:20-onbuild
RUN npm run build
EXPOSE 3000
CMD ["node", "dist/server.js"]
