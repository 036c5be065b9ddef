// socket.io with its Redis adapter: a room a symbol. What Redis publishes is emitted to the room of this process.
const { createServer } = require("http");
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");

async function main(port) {
  const [publishing, adapting, hearing] = [0, 1, 2].map(() => createClient({ url: process.env.REDIS_URL }));
  await Promise.all([publishing.connect(), adapting.connect(), hearing.connect()]);
  const server = createServer();
  const io = new Server(server, { adapter: createAdapter(publishing, adapting), transports: ["websocket"] });
  io.on("connection", (socket) => {
    socket.on("subscribe", (symbols) => {
      socket.join(symbols);
      socket.emit("subscribed");
    });
  });
  await hearing.pSubscribe("bench.*", (message, channel) => {
    io.local.to(channel.slice("bench.".length)).emit("asset_update", JSON.parse(message));
  });
  server.listen(port, "127.0.0.1", 4096);
}

main(Number(process.argv[2]));
