const functions = require('@google-cloud/functions-framework');

functions.http('greet', (req, res) => {
  res.json({greeting: `hello ${req.body.name.toString()}`, id: req.get('ce-id')});
});

functions.cloudEvent('record', event => {
  console.log('recorded', event.id, event.data.name.toString());
});
