const router = require("router");

    router.get("/health", (_, answer) => answer.end("ok"));
