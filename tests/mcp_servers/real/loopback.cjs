// Loaded before a server, by node --require: it then listens on 127.0.0.1 alone, at a free port, which it prints.
const net = require("node:net");
const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function (port, ...rest) {
  if (typeof port !== "number") return listen.call(this, port, ...rest);
  this.once("listening", () => console.log(`port ${this.address().port}`));
  return listen.call(this, 0, "127.0.0.1", ...rest.filter((each) => typeof each === "function"));
};
