// The calls that do what the page does, for this very address.
const home = () => new URL(".", location.href).href;

export const SNIPPETS = {
  curl: () => `curl -X POST ${home()}predict -F image=@photo.jpg
curl -X POST "${home()}predict?format=png" -F image=@photo.jpg -o overlay.png
curl -X POST ${home()}predict_batch -F image=@a.jpg -F image=@b.jpg`,
  Python: () => `import httpx
from pycocotools import mask

with open("photo.jpg", "rb") as file:
    answer = httpx.post("${home()}predict", files={"image": file}).raise_for_status().json()
print(answer["verdict"], answer["objects"])
masks = {label: mask.decode(rle) for label, rle in zip(answer["labels"], answer["rle"])}  # (H, W) uint8 each`,
  JavaScript: () => `const form = new FormData();
form.append("image", input.files[0]);
const response = await fetch("${home()}predict", { method: "POST", body: form });
const answer = await response.json();
console.log(answer.verdict, answer.objects);`,
};
