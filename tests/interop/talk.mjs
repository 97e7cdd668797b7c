// One conversation: its name and what it needs come as JSON, what it saw goes out as one line of JSON.
export async function converse(conversations) {
  const [name, order] = [process.argv[2], JSON.parse(process.argv[3])];
  process.stdout.write(`${JSON.stringify(await conversations[name](order))}\n`);
}
