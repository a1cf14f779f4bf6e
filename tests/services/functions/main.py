import functions_framework


@functions_framework.http
def greet(request):
    order = request.get_json()
    return {"greeting": f"hello {order['name']}", "id": request.headers["ce-id"]}


@functions_framework.cloud_event
def record(event):
    print("recorded", event["id"], event.data["name"], flush=True)
