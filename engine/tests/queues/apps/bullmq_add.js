// Adds so many jobs with BullMQ; how many wait: ADDRESS QUEUE COUNT.
const { Queue } = require("bullmq");
const Redis = require("ioredis");

async function main([address, name, count]) {
  const connection = new Redis(address, { maxRetriesPerRequest: null });
  const queue = new Queue(name, { connection });
  for (let number = 0; number < Number(count); number += 1) {
    await queue.add("job", { number });
  }
  console.log(JSON.stringify({ waiting: (await queue.getJobCounts("waiting")).waiting }));
  await queue.close();
  await connection.quit();
}

main(process.argv.slice(2));
