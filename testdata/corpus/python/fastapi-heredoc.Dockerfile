# syntax=docker/dockerfile:1.4
FROM python:3.12-alpine
WORKDIR /srv
COPY <<req.txt <<main.py ./
fastapi==0.111.0
uvicorn[standard]==0.30.1
req.txt
from fastapi import FastAPI

app = FastAPI(title="it's a \"test\"")


@app.get("/items/{item}")
def read(item: int, shift: int = 2):
    return {"item": item << shift, "price": f"{item:,}"}
main.py
RUN pip install --no-cache-dir -r req.txt
RUN python3 <<CHECK
import main
assert main.read(1, 3)["item"] == 8
print("ok")
CHECK
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "80"]
