// The socket.io peer: a room's socket joins it by the handshake's query; a POST is emitted to it.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const redis = createClient({ url: process.env.REDIS_URL });
await redis.connect();

const POST = /^\/rooms\/(\d+)\/messages$/;
const http = createServer((request, response) => {
  const room = POST.exec(request.url)?.[1];
  if (request.method !== "POST" || room === undefined) {
    response.writeHead(404).end();
    return;
  }
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    io.to(room).emit("message", JSON.parse(Buffer.concat(parts)));
    response.writeHead(201, { "Content-Type": "application/json", "Content-Length": 2 }).end("{}");
  });
});
http.keepAliveTimeout = 0;

const io = new Server(http, { adapter: createAdapter(redis), transports: ["websocket"], serveClient: false });
// https://socket.io/docs/v4/memory-usage/: the first HTTP request is let go; its query is wanted yet.
io.engine.on("connection", (raw) => {
  raw.room = raw.request._query.room;
  raw.request = null;
});
io.on("connection", (socket) => {
  socket.join(socket.conn.room);
});
http.listen({ host: "127.0.0.1", port: Number(process.env.PORT), backlog: 4096 });
