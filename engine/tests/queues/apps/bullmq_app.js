// BullMQ as an app uses it: ADDRESS COMMAND QUEUE ARGUMENTS. Commands print what BullMQ itself counts. `work` is a worker
// with a name, or without one, whose jobs run until they are released.
const { Queue, Worker } = require("bullmq");
const Redis = require("ioredis");

async function work(connection, queue, name, address) {
  const released = new Redis(address, { maxRetriesPerRequest: null });
  const options = { connection, ...(name ? { name } : {}) };
  const worker = new Worker(queue, () => released.blpop("release", 60), options);
  await worker.waitUntilReady();
  console.log("ready");
}

async function main([address, command, name, ...words]) {
  const connection = new Redis(address, { maxRetriesPerRequest: null });
  if (command === "work") {
    return work(connection, name, words[0], address);
  }
  const queue = new Queue(name, { connection });
  const add = (options) => queue.add("job", {}, options);
  if (command === "add") {
    for (let number = 0; number < Number(words[0]); number += 1) {
      await add({});
    }
  } else if (command === "prioritize") {
    await add({ priority: Number(words[0]) });
  } else if (command === "delay") {
    await add({ delay: 1000 * Number(words[0]) });
  } else if (command === "backdate") {
    await add({ timestamp: Date.now() - 1000 * Number(words[0]) });
  } else if (command === "pause") {
    await queue.pause();
  } else if (command === "resume") {
    await queue.resume();
  }
  console.log(JSON.stringify(await queue.getJobCounts("waiting", "prioritized", "delayed", "active", "paused")));
  await queue.close();
  await connection.quit();
}

main(process.argv.slice(2));
