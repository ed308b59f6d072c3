// The page's words, and whose language is spoken.
const WORDS = {
  en: {
    drop: "Drop a photograph here", pick: "Choose a file", camera: "Camera", paste: "or paste one (Ctrl+V)",
    busy: "Looking…", another: "Another photograph", overlay: "Overlay", mask: "Mask", samples: "Samples",
    waiting: "No photograph yet", classes: "Classes", toggle: "Click a class to hide or show it.", opacity: "Opacity", heat: "Heat map of the probabilities",
    threshold: "Threshold", "threshold-note": "Moved, it shows every pixel above it, without the other rules.",
    auto: "Back to the model's own", own: "the model's own", objects: "Objects", class: "Class", area: "Area (px)",
    score: "Score", place: "x, y, w, h", same: "The same from a program", model: "Model",
    "scores-note": "On photographs the model was not trained on. Dice: mean over images; IoU: over all their pixels together.",
    shoot: "Take the picture", cancel: "Cancel", token: "This service wants a token:", ok: "OK", drift: "Drift", api: "API",
    defect: "Defect", clean: "Nothing found", chance: "Probability of a defect", nothing: "none of the classes", engine: "engine", data_set: "data set", version: "version",
    network: "network", input: "input", trained: "trained on", limits: "limits", ms: "ms", server: "server", total: "in all",
    offline: "The service does not answer.", todo: "To do", expected: "Expected", megapixels: "megapixels",
    pixels: "px", whole: "the whole image", nocamera: "The camera cannot be used", hint_none: "nothing",
    "drift-title": "Do photographs still look as in training?", "drift-few": "too few photographs yet",
    "drift-same": "as in training", "drift-shifted": "looks different", seen: "seen", expected_bars: "training",
    regions: "Region of a part", "regions-note": "For part rules (rules.yaml, or rules: of line.yaml): choose, then click the corners on the photograph.",
    "draw-region": "Region", "draw-ignore": "Ignore", undo: "Undo", copy: "Copy yaml", copied: "Copied",
    clicking: "Label by clicking", "clicking-note": "Where the model is wrong, make a label of it: click on a region, and it is outlined. More clicks add to it, "
      + "right click or Alt + click takes away, dragging draws a box. Enter adds the region to the list, Escape gives it up.",
    "click-start": "Start labelling", "click-stop": "Stop labelling", "click-found": "Begin with what the model found", label: "Label", other: "other…",
    "not-this": "− not this", "give-up": "Give up", "add-region": "Add region", "click-name": "new label", remove: "Remove",
    "click-none": "No region yet. Added to the data set like this, the photograph is an example of nothing found.",
    "click-first": "First click on what belongs to the region.", "click-nothing": "Nothing was found there. Click elsewhere, or drag a box around it.",
    "click-unnamed": "Give the new label a name.", "to-data-set": "Add to the data set", "click-sent": "Kept in {labels}. Labelled photographs there: {n}. To train with them:",
    "click-lose": "The labels of this photograph were neither added to the data set nor downloaded. Lose them?",
    brightness: "Brightness", contrast: "Contrast", sharpness: "Sharpness", highest_score: "Highest score",
    confidence: "Confidence", back: "Back", "drift-note": "The last photographs received: {n}. A bar is the fraction of "
      + "photographs in a tenth of the training range. Population stability index (PSI): up to 0.1 is noise, above 0.25 "
      + "something changed: light, lens, camera, product.", "drift-none": "This model came without photographs to compare with.",
  },
  ko: {
    drop: "여기에 사진을 놓으세요", pick: "파일 선택", camera: "카메라", paste: "또는 붙여넣기 (Ctrl+V)",
    busy: "보고 있습니다…", another: "다른 사진", overlay: "오버레이", mask: "마스크", samples: "예제 사진",
    waiting: "아직 사진이 없습니다", classes: "클래스", toggle: "클래스를 눌러 숨기거나 보이게 합니다.", opacity: "불투명도", heat: "확률 히트맵",
    threshold: "임계값", "threshold-note": "움직이면 다른 규칙 없이 그 값을 넘는 픽셀을 모두 보여 줍니다.",
    auto: "모델 값으로 되돌리기", own: "모델 값", objects: "객체", class: "클래스", area: "면적 (px)",
    score: "점수", place: "x, y, w, h", same: "프로그램에서 호출하기", model: "모델",
    "scores-note": "학습에 쓰지 않은 사진의 점수입니다. Dice: 사진별 평균, IoU: 모든 픽셀을 합친 값.",
    shoot: "촬영", cancel: "취소", token: "이 서비스에는 토큰이 필요합니다:", ok: "확인", drift: "드리프트", api: "API",
    defect: "결함", clean: "이상 없음", chance: "결함이 있을 확률", nothing: "찾은 클래스 없음", engine: "엔진", data_set: "데이터 세트", version: "버전",
    network: "네트워크", input: "입력", trained: "학습 데이터", limits: "한도", ms: "ms", server: "서버", total: "전체",
    offline: "서비스가 응답하지 않습니다.", todo: "할 일", expected: "필요한 것", megapixels: "메가픽셀",
    pixels: "px", whole: "이미지 전체", nocamera: "카메라를 쓸 수 없습니다", hint_none: "없음",
    "drift-title": "사진이 아직 학습 때와 같습니까?", "drift-few": "사진이 아직 적습니다",
    "drift-same": "학습 때와 같음", "drift-shifted": "달라졌음", seen: "최근", expected_bars: "학습",
    regions: "부품의 영역", "regions-note": "부품 규칙(rules.yaml 또는 line.yaml의 rules:)에 씁니다. 종류를 고른 뒤 사진에서 꼭짓점을 누르세요.",
    "draw-region": "검사 영역", "draw-ignore": "무시할 영역", undo: "되돌리기", copy: "yaml 복사", copied: "복사했습니다",
    clicking: "클릭으로 라벨링", "clicking-note": "모델이 틀린 곳을 라벨로 바꿉니다. 영역을 클릭하면 윤곽이 그려집니다. 더 클릭하면 넓어지고, "
      + "오른쪽 클릭이나 Alt + 클릭으로 빼며, 끌면 상자를 그립니다. Enter는 영역을 목록에 넣고 Escape는 버립니다.",
    "click-start": "라벨링 시작", "click-stop": "라벨링 끝내기", "click-found": "모델이 찾은 영역에서 시작", label: "라벨", other: "기타…",
    "not-this": "− 빼기", "give-up": "버리기", "add-region": "영역 추가", "click-name": "새 라벨", remove: "삭제",
    "click-none": "아직 영역이 없습니다. 이대로 데이터 세트에 넣으면 이상이 없는 사진의 예가 됩니다.",
    "click-first": "먼저 영역에 속하는 곳을 클릭하세요.", "click-nothing": "그곳에서 찾은 것이 없습니다. 다른 곳을 클릭하거나 상자를 그리세요.",
    "click-unnamed": "새 라벨의 이름을 적으세요.", "to-data-set": "데이터 세트에 추가", "click-sent": "{labels}에 저장했습니다. 그곳의 라벨링된 사진: {n}장. 학습에 쓰려면:",
    "click-lose": "이 사진의 라벨을 데이터 세트에 추가하거나 내려받지 않았습니다. 버릴까요?",
    brightness: "밝기", contrast: "대비", sharpness: "선명도", highest_score: "최고 점수",
    confidence: "확신도", back: "돌아가기", "drift-note": "최근에 받은 사진 {n}장입니다. 막대는 학습 범위의 10분의 1 구간마다 "
      + "들어간 사진의 비율입니다. 모집단 안정성 지수(PSI): 0.1까지는 우연, 0.25를 넘으면 조명, 렌즈, 카메라, 제품 가운데 무언가 바뀐 것입니다.",
    "drift-none": "이 모델에는 비교할 사진이 없습니다.",
  },
};

const asked = new URLSearchParams(location.search).get("lang");
let language = WORDS[asked] ? asked : localStorage.getItem("language") || (navigator.language.startsWith("ko") ? "ko" : "en");

/** Take in more words, by language: those of another page. */
export function learn(words) {
  for (const name of Object.keys(WORDS)) Object.assign(WORDS[name], words[name]);
}

export const word = (key) => WORDS[language][key] ?? WORDS.en[key] ?? key;

/** Put the words of the chosen language into every element that names one. */
export function speak() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  const button = document.querySelector("#language");
  if (button) button.textContent = language === "ko" ? "English" : "한국어";
}

/** Change to the other language, and remember it. */
export function changeLanguage() {
  language = language === "ko" ? "en" : "ko";
  localStorage.setItem("language", language);
  speak();
}
