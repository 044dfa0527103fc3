'use strict';

const $ = (id) => document.getElementById(id);
const show = (id) => { for (const s of ['setup', 'done', 'ready']) $(s).hidden = s !== id; };

async function start() {
  for (const e of document.querySelectorAll('.origin')) e.textContent = location.origin;
  const health = await (await fetch('/health')).json();
  $('node').textContent = `${location.host} · ${health.version} · ${health.message}`;
  const { allowed } = await (await fetch('/api/v2/setup')).json();
  show(allowed ? 'setup' : 'ready');
}

async function setUp(event) {
  event.preventDefault();
  const form = event.target;
  const error = form.querySelector('.error');
  const button = form.querySelector('button');
  error.textContent = '';
  button.disabled = true;
  try {
    const body = Object.fromEntries(new FormData(form));
    body.retentionPeriodSeconds = Number(body.retentionPeriodSeconds);
    const answer = await fetch('/api/v2/setup', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    const made = await answer.json();
    if (!answer.ok) throw new Error(made.message);
    $('token').textContent = made.auth.token;
    $('commands').textContent = [
      `holdfast config create -n ${made.org.name} -u ${location.origin} -o ${made.org.name} -t '${made.auth.token}' -a`,
      `holdfast query 'SHOW MEASUREMENTS' --bucket ${made.bucket.name}`,
      'holdfast remote create --name central --remote-url https://… --remote-api-token … --remote-org-id …',
      `holdfast replication create --name central --remote-id … --local-bucket-id ${made.bucket.id} --remote-bucket …`,
    ].join('\n');
    show('done');
  } catch (e) {
    error.textContent = e.message;
  } finally {
    button.disabled = false;
  }
}

$('setup').querySelector('form').addEventListener('submit', setUp);
$('copy').addEventListener('click', () => navigator.clipboard.writeText($('token').textContent));
start().catch((e) => { $('node').textContent = `The node does not answer: ${e.message}`; });
