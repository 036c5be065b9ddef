// A bare broadcast on node's `ws`: what Redis publishes on bench.<symbol> goes to who subscribed to bench:<symbol>.
const { WebSocketServer, WebSocket } = require("ws");
const { createClient } = require("redis");

const followers = new Map();

function follow(socket, topics) {
  for (const topic of topics) {
    const symbol = topic.slice("bench:".length);
    if (!followers.has(symbol)) followers.set(symbol, new Set());
    followers.get(symbol).add(socket);
  }
}

async function main(port) {
  const redis = createClient({ url: process.env.REDIS_URL });
  await redis.connect();
  await redis.pSubscribe("bench.*", (message, channel) => {
    for (const socket of followers.get(channel.slice("bench.".length)) ?? []) {
      if (socket.readyState === WebSocket.OPEN) socket.send(message);
    }
  });
  const server = new WebSocketServer({ host: "127.0.0.1", port, perMessageDeflate: false, backlog: 4096 });
  server.on("connection", (socket) => {
    socket.on("message", (text) => {
      follow(socket, JSON.parse(text).data.topics);
      socket.send('{"type":"subscribed"}');
    });
    socket.on("close", () => followers.forEach((sockets) => sockets.delete(socket)));
  });
}

main(Number(process.argv[2]));
