// The words of the line's page, beside those that it shares with the service's.
import { learn } from "../../page/words.js";

learn({
  en: {
    offline: "The line does not answer.", token: "This page wants a token:", "none-yet": "No part yet", newest: "Back to the newest",
    "the-newest": "The newest part", chosen: "Part", outlines: "Outlines", wrong: "Wrong? → to labelling", sent: "In labelling: {name}",
    "classes-today": "Classes found today (parts)", "by-hour": "The last 24 hours", parts: "Parts", part: "Part", lot: "Lot",
    verdict: "Verdict", since: "From", until: "To", search: "Search", clear: "Clear", older: "Older parts", any: "any",
    csv: "Export csv", parquet: "Export Parquet", accept: "Accept", warn: "Warn", reject: "Reject", error: "Error", today: "Parts today",
    taken: "Taken", source: "Source", name: "Photograph", found: "Found", milliseconds: "Time", model: "Model", measured: "Measured",
    label: "Class", objects: "Objects", area: "Area (px)", "no-picture": "The picture of this part is not kept.",
    "no-decode": "The browser cannot show this picture.", live: "The last parts, as they come.", result: "What the search found; new parts are not added.",
    "result-none": "Nothing was found.", "well": "Everything runs.", "service-trouble": "Service: {text}", "archive-trouble": "Archive: {text}",
    "source-trouble": "Source {name}: {text}", "sink-trouble": "Sink {name}: {text} ({waiting} waiting)", alarm: "Alarm: {text}",
    "no-class": "No defect was found today.", "no-hour": "No part came in the last 24 hours.", unknown: "unknown", value: "Value", reason: "Why",
    gone: "The line has stopped, or does not answer; this page asks again.",
  },
  ko: {
    offline: "라인이 응답하지 않습니다.", token: "이 페이지에는 토큰이 필요합니다:", "none-yet": "아직 부품이 없습니다", newest: "최신 부품으로",
    "the-newest": "최신 부품", chosen: "부품", outlines: "윤곽 표시", wrong: "틀렸습니까? → 라벨링으로", sent: "라벨링에 있음: {name}",
    "classes-today": "오늘 찾은 클래스 (부품 수)", "by-hour": "최근 24시간", parts: "부품", part: "부품 번호", lot: "로트",
    verdict: "판정", since: "부터", until: "까지", search: "찾기", clear: "지우기", older: "이전 부품", any: "전체",
    csv: "csv 내보내기", parquet: "Parquet 내보내기", accept: "합격", warn: "주의", reject: "불량", error: "오류", today: "오늘 부품",
    taken: "촬영", source: "소스", name: "사진", found: "찾은 것", milliseconds: "시간", model: "모델", measured: "측정값",
    label: "클래스", objects: "개수", area: "면적 (px)", "no-picture": "이 부품의 사진은 보관되어 있지 않습니다.",
    "no-decode": "브라우저가 이 사진을 보여 줄 수 없습니다.", live: "최신 부품을 들어오는 대로 보여 줍니다.", result: "찾은 결과입니다. 새 부품은 더해지지 않습니다.",
    "result-none": "찾은 것이 없습니다.", "well": "모두 정상입니다.", "service-trouble": "서비스: {text}", "archive-trouble": "보관: {text}",
    "source-trouble": "소스 {name}: {text}", "sink-trouble": "싱크 {name}: {text} ({waiting}개 대기)", alarm: "알람: {text}",
    "no-class": "오늘 찾은 결함이 없습니다.", "no-hour": "최근 24시간 동안 들어온 부품이 없습니다.", unknown: "모름", value: "값", reason: "이유",
    gone: "라인이 멈췄거나 응답하지 않습니다. 다시 물어봅니다.",
  },
});
