// kafkajs against a broker: producer, admin and consumers in a group. What the producer's tests sent is read by kcat. Prints ok and FAIL lines; "ASK what" on standard output is answered by a line from tests/clients/node/run.
const readline = require('readline')
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')

const bootstrap = process.argv[2]
const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const complaints = []
const kafka = new Kafka({
  brokers: [bootstrap], logLevel: logLevel.WARN, retry: { retries: 30, initialRetryTime: 50, maxRetryTime: 500 },
  logCreator: () => ({ log }) => complaints.push(`${log.message} ${log.error || ''}`)
})
const admin = kafka.admin()

function expect(condition, why) {
  if (!condition) throw new Error(why)
}

function expectEqual(got, wanted, what) {
  expect(JSON.stringify(got) === JSON.stringify(wanted), `${what}: got ${JSON.stringify(got)?.slice(0, 400)}, wanted ${JSON.stringify(wanted)?.slice(0, 400)}`)
}

async function ask(what) {
  console.log('ASK ' + what)
  const answer = (await input.next()).value
  expect(answer !== undefined && !answer.startsWith('error'), `${what}: ${answer}`)
  return JSON.parse(answer)
}

async function expectFails(type, promise) {
  const error = await promise.then(() => null, e => e)
  const types = error && [error.type, error.cause?.type, ...(error.errors || []).map(e => e.type)]
  expect(types && types.includes(type), `got ${error && error.message} ${types}, wanted ${type}`)
}

async function everyCodec() {
  for (const [name, compression] of [['none', CompressionTypes.None], ['gzip', CompressionTypes.GZIP], ['snappy', CompressionTypes.Snappy]]) {
    const topic = 'kafkajs-' + name
    await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] })
    for (const idempotent of [false, true]) {
      const producer = kafka.producer({ idempotent, maxInFlightRequests: 1 })
      await producer.connect()
      for (let batch = 0; batch < 5; batch++) {
        const messages = [...Array(100).keys()].map(i => ({
          key: `k${i}`, value: `value ${batch} ${i}`, partition: idempotent ? 1 : 0, timestamp: String(1700000000000 + i), headers: { n: String(i) } }))
        const told = await producer.send({ topic, messages, compression, acks: -1 })
        expectEqual(told.map(t => t.baseOffset), [String(100 * batch)], 'offset told')
      }
      await producer.disconnect()
      const read = await ask(`read ${topic} ${idempotent ? 1 : 0}`)
      expectEqual(read, [...Array(500).keys()].map(i => [i, `k${i % 100}`, `value ${Math.floor(i / 100)} ${i % 100}`, 1700000000000 + i % 100, ['n', String(i % 100)]]),
        topic)
    }
  }
}

async function administers() {
  expectEqual(await admin.createTopics({ topics: [{ topic: 'kafkajs-admin', numPartitions: 3, configEntries: [{ name: 'retention.ms', value: '1234567' }] }] }), true, 'created')
  expectEqual(await admin.createTopics({ topics: [{ topic: 'kafkajs-admin' }] }), false, 'created twice')
  await expectFails('INVALID_TOPIC_EXCEPTION', admin.createTopics({ topics: [{ topic: 'bad name' }] }))
  await expectFails('INVALID_REPLICATION_FACTOR', admin.createTopics({ topics: [{ topic: 't', replicationFactor: 3 }] }))
  await admin.createPartitions({ topicPartitions: [{ topic: 'kafkajs-admin', count: 5 }] })
  const metadata = await admin.fetchTopicMetadata({ topics: ['kafkajs-admin'] })
  expectEqual(metadata.topics[0].partitions.map(p => [p.leader, p.replicas, p.isr]), Array(5).fill([1, [1], [1]]), 'partitions')
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: 'kafkajs-admin', configEntries: [{ name: 'segment.bytes', value: '2000000' }] }] })
  const configs = await admin.describeConfigs({ includeSynonyms: true, resources: [{ type: 2, name: 'kafkajs-admin', configNames: ['segment.bytes', 'retention.ms'] }] })
  const values = Object.fromEntries(configs.resources[0].configEntries.map(e => [e.configName, e.configValue]))
  expectEqual([values['segment.bytes'], values['retention.ms']], ['2000000', '604800000'], 'settings') // AlterConfigs replaces them all
  const offsets = await admin.fetchTopicOffsets('kafkajs-none')
  expectEqual(offsets.map(o => [o.partition, o.low, o.high]).sort(), [[0, '0', '500'], [1, '0', '500']], 'offsets')
  const times = await admin.fetchTopicOffsetsByTimestamp('kafkajs-none', 1700000000050)
  expectEqual(times.map(o => o.offset), ['50', '50'], 'offsets of a time')
  await admin.deleteTopicRecords({ topic: 'kafkajs-none', partitions: [{ partition: 0, offset: '7' }] })
  expectEqual((await admin.fetchTopicOffsets('kafkajs-none')).find(o => o.partition === 0).low, '7', 'low watermark')
  const cluster = await admin.describeCluster()
  expectEqual([cluster.brokers.map(b => `${b.host}:${b.port}`), cluster.controller], [[bootstrap], 1], 'cluster')
  await admin.deleteTopics({ topics: ['kafkajs-admin'] })
  expect(!(await admin.listTopics()).includes('kafkajs-admin'), 'a deleted topic is listed')
}

async function isToldWhatIsWrong() {
  const producer = kafka.producer()
  await producer.connect()
  await expectFails('MESSAGE_TOO_LARGE', producer.send({ topic: 'kafkajs-none', messages: [{ value: Buffer.alloc(2000000), partition: 0 }] }))
  await producer.send({ topic: 'kafkajs-auto', messages: [{ value: 'v' }] })
  expect((await admin.listTopics()).includes('kafkajs-auto'), 'auto-creation')
  await producer.disconnect()
}

async function goesOnAfterAKill() {
  await admin.createTopics({ topics: [{ topic: 'kafkajs-killed', numPartitions: 1 }] })
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (let i = 0; i < 200; i++) {
    if (i === 100) await ask('kill')
    await producer.send({ topic: 'kafkajs-killed', messages: [...Array(10).keys()].map(k => ({ value: String(10 * i + k) })) })
  }
  await producer.disconnect()
  expectEqual((await ask('read kafkajs-killed 0')).map(r => r[2]), [...Array(2000).keys()].map(String), 'records')
}

// A consumer in a group: what it was given at last, and what it read.
async function member(groupId, topic) {
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 100, sessionTimeout: 30000, rebalanceTimeout: 30000, maxWaitTimeInMs: 100 })
  const self = { consumer, owned: [], read: [] }
  consumer.on(consumer.events.GROUP_JOIN, event => { self.owned = event.payload.memberAssignment[topic] || [] })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({ eachMessage: async ({ partition, message }) => { self.read.push(`${partition}/${message.offset}`) } })
  return self
}

async function eventually(what, condition) {
  for (const end = Date.now() + 180000; !await condition();) {
    expect(Date.now() < end, `${what}: not within 180 s`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

async function sharesInGroups() {
  const topic = 'kafkajs-shared'
  await admin.createTopics({ topics: [{ topic, numPartitions: 4 }] })
  const producer = kafka.producer()
  await producer.connect()
  const fill = async count => producer.send({ topic, messages: [...Array(4 * count).keys()].map(i => ({ value: String(i), partition: i % 4 })) })
  const shared = (...members) => eventually('every partition has one owner', () => members.every(m => m.owned.length === 4 / members.length) &&
    new Set(members.flatMap(m => m.owned)).size === 4)
  await fill(20)
  const a = await member('kafkajs-group', topic)
  await shared(a)
  const b = await member('kafkajs-group', topic)
  await shared(a, b)
  await eventually('all is read', () => new Set([...a.read, ...b.read]).size === 80)
  const described = (await admin.describeGroups(['kafkajs-group'])).groups[0]
  expectEqual([described.state, described.protocolType, described.members.length], ['Stable', 'consumer', 2], 'the group')
  await a.consumer.disconnect()
  await shared(b)
  await ask('kill')
  await fill(5)
  await eventually('what came later is read', () => new Set([...a.read, ...b.read]).size === 100)
  await b.consumer.disconnect()
  const committed = await admin.fetchOffsets({ groupId: 'kafkajs-group', topics: [topic] })
  expectEqual(committed[0].partitions.map(p => p.offset), Array(4).fill('25'), 'committed')
  expectEqual((await admin.listGroups()).groups, [{ groupId: 'kafkajs-group', protocolType: 'consumer' }], 'groups')
  await admin.deleteGroups(['kafkajs-group'])
  await producer.disconnect()
}

async function transactions() {
  const topic = 'kafkajs-transactions', group = 'kafkajs-transactions-group'
  await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] })
  const producer = kafka.producer({ transactionalId: 'kafkajs', idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const wanted = []
  for (let t = 0; t < 9; t++) {
    const transaction = await producer.transaction()
    const values = [...Array(20).keys()].map(i => `${t}-${i}`)
    await transaction.send({ topic, acks: -1, messages: values.map(value => ({ key: 'k', value, partition: t % 2 })) })
    await transaction.sendOffsets({ consumerGroupId: group, topics: [{ topic, partitions: [{ partition: 0, offset: String(t) }] }] })
    if (t % 3 === 1) {
      await transaction.abort()
    } else {
      await transaction.commit()
      values.forEach(value => wanted.push([t % 2, value]))
    }
  }
  for (const partition of [0, 1]) {
    await eventually('all that is committed can be read', async () => {
      const read = (await ask(`read ${topic} ${partition}`)).map(r => r[2])
      return JSON.stringify(read) === JSON.stringify(wanted.filter(w => w[0] === partition).map(w => w[1]))
    })
  }
  await eventually('the offset of the last transaction', async () =>
    (await admin.fetchOffsets({ groupId: group, topics: [topic] }))[0].partitions.find(p => p.partition === 0).offset === '8')
  await producer.disconnect()
}

async function main() {
  await admin.connect()
  let failed = 0
  for (const [name, body, expected] of [['kafkajs_produces_with_every_codec', everyCodec, /leadership|UNKNOWN_TOPIC/], ['kafkajs_administers', administers, null],
    ['kafkajs_is_told_what_is_wrong', isToldWhatIsWrong, /./], ['kafkajs_goes_on_after_the_broker_is_killed', goesOnAfterAKill, /./],
    ['kafkajs_members_share_and_take_over', sharesInGroups, /./], ['kafkajs_transactions_are_whole_or_absent', transactions, /./]]) {
    complaints.length = 0
    try {
      await body()
      const said = complaints.filter(line => !/Limiting retries|Topic creation errors|not aware of|already exists|invalid topic|INVALID_|[Rr]eplication/.test(line) && !(expected && expected.test(line)))
      expect(said.length === 0, `kafkajs says ${said.slice(0, 3)}`)
      console.log('ok ' + name)
    } catch (error) {
      failed++
      console.log(`FAIL ${name}: ${String(error.stack).replace(/\n/g, ' ').slice(0, 900)}`)
    }
  }
  await admin.disconnect().catch(() => {})
  process.exit(failed ? 1 : 0)
}

main()
